-- ARGV[5]: name.
return look(function(root)
  return call('HMGET', root, 't' .. ARGV[5], 'm' .. ARGV[5])
end)
