-- ARGV from 8: id, 'ours' or 'theirs', '1' if another text takes the place of both, that text.
-- Returns {name} and what is told of a block, if there is one then.
local id, keeps, other = ARGV[8], ARGV[9], ARGV[10] == '1'
local conflicts = part(root, 'x')

return edit(function()
  local found = call('HMGET', conflicts, 'b' .. id, 't' .. id)
  local name, text = found[1], found[2]
  if not name then
    return refused(MISSING)
  end
  if other then
    text = ARGV[11]
  end
  local current = block(root, name)
  local puts = other or keeps == 'ours'
  local result = {name}
  local after = current
  if puts then
    after = false
    if text then
      local version, order = succession(current, math.huge)
      after = {version, order, now, text}
    end
  end
  for _, value in ipairs(after or {}) do
    result[#result + 1] = value
  end
  commit(result)
  call('HDEL', conflicts, 'm' .. id, 'b' .. id, 't' .. id)
  if puts and after then
    write_block(name, text, after[1], after[2])
  elseif puts then
    drop_block(name, current)
  end
  return done(result)
end)
