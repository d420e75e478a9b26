UPDATE catalogue SET choices = choices + 1
