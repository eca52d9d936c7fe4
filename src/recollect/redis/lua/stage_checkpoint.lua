-- ARGV from 9: id, created_at, description, and each after its length: fields of blocks; key, value and microseconds left of each
-- variable; fields of the task; the notes.
local id, made_at, description = argument(), argument(), argument()
if call('EXISTS', staged) == 0 then
  return refused(MISSING)
end
local index = part(staged, 'c')
local number = call('HGET', index, 'n' .. id)
if not number then
  number = whole((tonumber(call('HGET', index, 'h')) or 0) + 1)
  local known = call('HGET', index, 'l')
  call('HSET', index, 'h', number, 'l', known and known .. ' ' .. number or number, 'n' .. id, number)
end
call('HSET', index, 'm' .. number, made_at .. ' ' .. id, 'd' .. number, description)
call('PEXPIRE', index, STAGED_TTL)
fill('HSET', copy(staged, number, 'b'), arguments())
fill('HSET', copy(staged, number, 'v'), variable_fields(arguments(), tonumber(made_at)))
fill('HSET', copy(staged, number, 't'), arguments())
fill('RPUSH', copy(staged, number, 'n'), arguments())
return done()
