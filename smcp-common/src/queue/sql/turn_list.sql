SELECT scope, lane, agent, served FROM turns
