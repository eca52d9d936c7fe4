-- ARGV from 5: keys. Returns value and expires_at of each of them, false for those that are not there.
return look(function(root)
  local at = now()
  local fields = {}
  for i = 5, #ARGV do
    fields[#fields + 1] = 'v' .. ARGV[i]
    fields[#fields + 1] = 'm' .. ARGV[i]
  end
  local values, found = fields_of(part(root, 'v'), fields), {}
  for i = 1, #values, 2 do
    local alive = values[i] ~= false and is_alive(values[i + 1], at)
    found[i] = alive and values[i]
    found[i + 1] = alive and values[i + 1]:match(' (.+)$')
  end
  return found
end)
