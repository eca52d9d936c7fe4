-- The fields of all blocks, in no order.
return look(function(root)
  return call('HGETALL', root)
end)
