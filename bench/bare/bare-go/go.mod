module variant

go 1.24
