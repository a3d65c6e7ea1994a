package commy

var children = map[string]func(){}
