UPDATE catalogue SET wanted = wanted + 1 RETURNING wanted
