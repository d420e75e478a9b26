SELECT lane, plugin, id, tool, agent FROM jobs WHERE state = 'running' ORDER BY num
