SELECT worker, until FROM duties WHERE name = ?1
