DELETE FROM retired_tools WHERE name = ?1
