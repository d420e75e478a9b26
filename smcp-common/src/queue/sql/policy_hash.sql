SELECT hash FROM policies
