"""The compiled tasks on a GPU: the very functions of the CPU's kernels, made anew for a thread an episode.

On the CPU a kernel plays sixteen episodes side by side, a lane each, and a lane's numbers lie LANES apart. A GPU has
room for many more: here LANES is the number of threads (`lane.LANES`), a thread has one lane and plays one episode
after another. So the same functions are compiled again (`translation`), with the handful that speak of all lanes, or
that look for a lane's data by arithmetic, replaced by those of `lane`. All islands' genomes are one batch.
"""
