module sluicegate.dev/bench

go 1.22
