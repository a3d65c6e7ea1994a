module driver

go 1.19

require commy v0.0.0

replace commy => ../../../../sdk/go
