"""What runs on the rented machine, inside the job's own image.

Nothing here may need more than Python 3.8 and its standard library: the image is anybody's.
"""
