-- ARGV from 9: created_at or '', the highest version of blocks that are gone, and each after its length: fields of blocks; key,
-- value and microseconds left of each variable; fields of the task; fields of the conflicts; the notes.
local began = argument()
local blocks = {'c', began == '' and now or began, 'v', argument(), 'l', ARGV[5]}
for _, value in ipairs(arguments()) do
  blocks[#blocks + 1] = value
end
for _, key in ipairs(keys_of(staged)) do
  call('DEL', key)
end
fill('HSET', staged, blocks)
local variables = variable_fields(arguments(), at)
fill('HSET', part(staged, 'v'), variables)
local task = arguments()
if #task > 0 then
  task[#task + 1] = 'w'
  task[#task + 1] = now
end
fill('HSET', part(staged, 't'), task)
fill('HSET', part(staged, 'x'), arguments())
fill('RPUSH', part(staged, 'n'), arguments())
return done()
