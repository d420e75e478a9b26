SELECT plugin, retired_at FROM retired_tools WHERE name = ?1
