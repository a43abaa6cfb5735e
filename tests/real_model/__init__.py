"""`make check-real-model`: a real, small language model on llama.cpp's own server."""
