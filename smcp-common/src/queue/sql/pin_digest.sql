SELECT digest FROM pins WHERE plugin = ?1
