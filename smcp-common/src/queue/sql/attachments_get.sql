SELECT tools FROM attachments WHERE agent = ?1
