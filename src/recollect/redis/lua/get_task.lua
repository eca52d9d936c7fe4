-- Returns {constant part, status, step, percent, updated_at}; without the first there is no task.
return look(function(root)
  return call('HMGET', part(root, 't'), 'j', 's', 'c', 'p', 'u')
end)
