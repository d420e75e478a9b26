SELECT id FROM jobs WHERE state = 'running' AND lane = ?1
