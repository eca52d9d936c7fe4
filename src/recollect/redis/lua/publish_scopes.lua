-- ARGV from 9: the names of the scopes, after how many they are.
local names = arguments()

-- The scopes that there are, with their fields in the tenant's hash.
local function scopes()
  local found = {}
  for _, field in ipairs(call('HKEYS', KEYS[1])) do
    local name = field:match('^s(.*)$')
    if name then
      found[field] = KEYS[1] .. ':s:' .. name .. ':b'
    end
  end
  return found
end

local function holds(root)
  if call('EXISTS', root) == 0 or has_ended(root, ARGV[5] == '' and '0' or ARGV[5], at) then
    return false
  end
  local _, metas = described(part(root, 'v'), 'm')
  for _, meta in ipairs(metas) do
    if is_alive(meta, at) then
      return true
    end
  end
  return #described(root, 'm') > 0 or call('HEXISTS', part(root, 't'), 'j') == 1
    or call('LLEN', part(root, 'n')) > 0 or #numbers(root) > 0 or #described(part(root, 'x'), 'm') > 0
end

local function move(from, to)
  if call('EXISTS', from) == 1 then
    call('RENAME', from, to)
    call('PERSIST', to)
  end
end

if call('HGET', KEYS[1], 'l') == ARGV[8] then
  return done()
end
local there = scopes()
for _, root in pairs(there) do
  if holds(root) then
    return refused(FULL)
  end
end
for _, name in ipairs(names) do
  if call('EXISTS', staged_root(name)) == 0 then
    return refused(MISSING)
  end
end
for field, root in pairs(there) do
  for _, key in ipairs(keys_of(root)) do
    call('DEL', key)
  end
  call('HDEL', KEYS[1], field)
end
if not epoch then
  call('HSET', KEYS[1], 'e', ARGV[2])
  epoch = ARGV[2]
end
call('HSET', KEYS[1], 'l', ARGV[8])
for _, name in ipairs(names) do
  local from, to = staged_root(name), KEYS[1] .. ':s:' .. name .. ':b'
  local targets = keys_of(from)
  for _, key in ipairs(targets) do
    move(key, part(to, key:sub(#from)))
  end
  local ttl = call('HGET', to, 'l')
  call('HDEL', to, 'l')
  call('HSET', KEYS[1], 's' .. name, call('HGET', to, 'c'))
  if ttl ~= '' then
    if ARGV[3] ~= '' then
      call('HSET', to, 'u', now)
    end
    keep(to, ttl, call)
  end
end
return done()
