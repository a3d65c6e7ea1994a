package commy

// #include <commy/ffi.h>
import "C"

import "math"

// RegisterService registers a service with a name, an id, an endpoint and a port. Errors: ErrExists (a live service has the
// id), ErrFull.
func (m *Mesh) RegisterService(name, id, endpoint string, port int) error {
	if err := checkTexts("service name", name, "service id", id, "endpoint", endpoint); err != nil {
		return err
	}
	if err := checkPort(port); err != nil {
		return err
	}
	var texts strs
	defer texts.free()
	cName, cID, cEndpoint := texts.add(name), texts.add(id), texts.add(endpoint)
	return m.do(func(h C.commy_handle_t) C.int32_t {
		return C.commy_register_service_simple(h, cName, cID, cEndpoint, C.uint16_t(port))
	})
}

// Register registers a service with all that can be said of it.
func (m *Mesh) Register(config ServiceConfig) error {
	ttl, err := config.check()
	if err != nil {
		return err
	}
	var texts strs
	defer texts.free()
	made := C.commy_service_config_t{
		size:         C.sizeof_commy_service_config_t,
		flags:        flag(C.COMMY_SERVICE_DETACHED, config.Detached),
		service_name: texts.add(config.Name),
		service_id:   texts.add(config.ID),
		endpoint:     texts.add(config.Endpoint),
		metadata:     texts.orNull(config.Metadata),
		version:      texts.orNull(config.Version),
		zone:         texts.orNull(config.Zone),
		tags:         texts.array(config.Tags),
		tag_count:    C.uint32_t(len(config.Tags)),
		weight:       C.uint32_t(config.Weight),
		ttl_ms:       C.uint64_t(ttl),
		port:         C.uint16_t(config.Port),
	}
	return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_register_service(h, &made) })
}

// check gives the TTL in milliseconds.
func (c *ServiceConfig) check() (uint64, error) {
	err := checkTexts("service name", c.Name, "service id", c.ID, "endpoint", c.Endpoint, "version", c.Version, "zone", c.Zone)
	if err != nil {
		return 0, err
	}
	for _, tag := range c.Tags {
		if err := checkText("tag", tag); err != nil {
			return 0, err
		}
	}
	if err := checkMetadata(c.Metadata); err != nil {
		return 0, err
	}
	if err := checkPort(c.Port); err != nil {
		return 0, err
	}
	if err := checkRange("weight", c.Weight, math.MaxUint32); err != nil {
		return 0, err
	}
	return milliseconds("TTL", c.TTL)
}

// withText makes a call that takes one string.
func (m *Mesh) withText(what, text string, function func(h C.commy_handle_t, text *C.char) C.int32_t) error {
	if err := checkText(what, text); err != nil {
		return err
	}
	var texts strs
	defer texts.free()
	made := texts.add(text)
	return m.do(func(h C.commy_handle_t) C.int32_t { return function(h, made) })
}

// UnregisterService ends a service, whoever registered it. Errors: ErrNotFound, as of all calls with an id.
func (m *Mesh) UnregisterService(id string) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_unregister_service(h, id)
	})
}

// Heartbeat begins the TTL of a service anew.
func (m *Mesh) Heartbeat(id string) error {
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t { return C.commy_heartbeat(h, id) })
}

// SetServiceWeight sets a service's share of the load: 0 (never selected by weight) to 65535.
func (m *Mesh) SetServiceWeight(id string, weight int) error {
	if err := checkRange("weight", weight, math.MaxUint32); err != nil {
		return err
	}
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_set_service_weight(h, id, C.uint32_t(weight))
	})
}

// UpdateServiceMetadata replaces a service's metadata: JSON of up to 4,096 bytes, or nothing.
func (m *Mesh) UpdateServiceMetadata(id, metadata string) error {
	if err := checkMetadata(metadata); err != nil {
		return err
	}
	var texts strs
	defer texts.free()
	made := texts.orNull(metadata)
	return m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_update_service_metadata(h, id, made)
	})
}

// list copies all that there is: room is made until everything fits.
func list(fill func(out *C.commy_service_info_t, capacity C.size_t, count *C.size_t) error) ([]ServiceInfo, error) {
	capacity := 8
	for {
		room := make([]C.commy_service_info_t, capacity)
		var count C.size_t
		if err := fill(&room[0], C.size_t(capacity), &count); err != nil {
			return nil, err
		}
		if int(count) <= capacity {
			infos := make([]ServiceInfo, count)
			for i := range infos {
				infos[i] = serviceInfo(&room[i])
			}
			return infos, nil
		}
		capacity = int(count) + int(count)/8 + 1
	}
}

// DiscoverServices gives every live instance of a name. None is no error.
func (m *Mesh) DiscoverServices(name string) ([]ServiceInfo, error) {
	return list(func(out *C.commy_service_info_t, capacity C.size_t, count *C.size_t) error {
		return m.withText("service name", name, func(h C.commy_handle_t, name *C.char) C.int32_t {
			return C.commy_discover_services(h, name, out, capacity, count)
		})
	})
}

// AllServices gives every live service of the mesh.
func (m *Mesh) AllServices() ([]ServiceInfo, error) {
	return list(func(out *C.commy_service_info_t, capacity C.size_t, count *C.size_t) error {
		return m.do(func(h C.commy_handle_t) C.int32_t { return C.commy_get_all_services(h, out, capacity, count) })
	})
}

// DiscoverServicesCount counts the live instances of a name.
func (m *Mesh) DiscoverServicesCount(name string) (int, error) {
	if err := checkText("service name", name); err != nil {
		return 0, err
	}
	var texts strs
	defer texts.free()
	made := texts.add(name)
	return m.count(func(h C.commy_handle_t) C.int32_t { return C.commy_discover_services_count(h, made) })
}

// ActiveServiceCount counts the live services of the mesh.
func (m *Mesh) ActiveServiceCount() (int, error) {
	return m.count(func(h C.commy_handle_t) C.int32_t { return C.commy_get_active_service_count(h) })
}

// Service gives everything known about a service, but for its metadata.
func (m *Mesh) Service(id string) (ServiceInfo, error) {
	var info C.commy_service_info_t
	err := m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_get_service(h, id, &info)
	})
	if err != nil {
		return ServiceInfo{}, err
	}
	return serviceInfo(&info), nil
}

// ServiceMetadata gives the text that was registered; nothing where there is none.
func (m *Mesh) ServiceMetadata(id string) (string, error) {
	var text [metadataBytes + 1]C.char
	var length C.size_t
	err := m.withText("service id", id, func(h C.commy_handle_t, id *C.char) C.int32_t {
		return C.commy_get_service_metadata(h, id, &text[0], C.size_t(len(text)), &length)
	})
	if err != nil {
		return "", err
	}
	return goString(text[:]), nil
}
