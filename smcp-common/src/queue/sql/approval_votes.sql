SELECT agent, groups, at FROM approval_votes WHERE job = ?1 AND round = ?2 AND voice = 'approve' ORDER BY at, agent
