module netpoll-lab/go-nethttp

go 1.24
