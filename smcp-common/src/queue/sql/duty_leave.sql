DELETE FROM duties WHERE worker = ?1
