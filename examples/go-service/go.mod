module example.com/quoted

go 1.19
