"""Two hosts on one NFS export, with real kernels and a real server: `make test-nfs`."""
