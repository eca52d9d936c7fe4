-- The fields of all conflicts, in no order.
return look(function(root)
  return call('HGETALL', part(root, 'x'))
end)
