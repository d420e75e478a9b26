SELECT DISTINCT file.value FROM plugins, json_each(plugins.data, '$.files') AS file ORDER BY file.value
