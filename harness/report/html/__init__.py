"""Reports as one HTML page: its tables, and its plots as SVG beside the numbers they show.

The plots are drawn here, from rectangles, lines and words, and not by a plotting library: their x is a share
of the width, so that one page reads well on a phone, a screen and paper; their colours follow the reader's
light or dark theme; twenty runs stay under 2 MB; and nothing has to be installed.
"""
