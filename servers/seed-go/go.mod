module netpoll-lab/seed-go

go 1.24
