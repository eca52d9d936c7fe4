-- ARGV from 9: the names of the scopes, after how many they are.
local published = call('HGET', KEYS[1], 'l') == ARGV[8]
for _, name in ipairs(arguments()) do
  for _, key in ipairs(keys_of(staged_root(name))) do
    call('DEL', key)
  end
  if published then
    for _, key in ipairs(keys_of(KEYS[1] .. ':s:' .. name .. ':b')) do
      call('DEL', key)
    end
    call('HDEL', KEYS[1], 's' .. name)
  end
end
if published then
  call('HDEL', KEYS[1], 'l')
end
return done()
