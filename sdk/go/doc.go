// Package commy joins a service registry and mesh for one host that lives in shared memory: programs in any language map
// one region, register services, find each other in nanoseconds, and vanish from it the instant they die.
//
//	mesh, err := commy.New("test-node", 8080)
//	err = mesh.Initialize()
//	err = mesh.Start()
//	err = mesh.RegisterService("auth-service", "auth-1", "127.0.0.1", 3001)
//	services, err := mesh.DiscoverServices("auth-service")
//	stats, err := mesh.Statistics()
//	err = mesh.Stop()
//	err = mesh.Cleanup()
//
// It is a thin layer over libcommy.so.1, which pkg-config finds (package commy). Meanings, limits and lifetimes are those of
// the library (man 3 libcommy). Everything is safe to use from any number of goroutines. What fails, fails with an *Error,
// which holds the library's sentence and is told by its code:
//
//	if errors.Is(err, commy.ErrNotFound) { ... }
//
// Calls are over within microseconds, and take no context; those that may wait take one, and end when it does.
package commy
