module commy

go 1.19
