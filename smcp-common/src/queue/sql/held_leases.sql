SELECT num, attempt, lease_until FROM jobs WHERE state = 'running'
