SELECT auto_vacuum = 2, freelist_count, page_count FROM pragma_auto_vacuum, pragma_freelist_count, pragma_page_count
