-- ARGV[5]: how many of the newest, '' for all.
return look(function(root)
  if ARGV[5] == '0' then
    return {}
  end
  return call('LRANGE', part(root, 'n'), ARGV[5] == '' and 0 or -ARGV[5], -1)
end)
