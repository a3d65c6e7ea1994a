package main

import (
	"context"
	"time"

	"commy"
)

type object = map[string]any

func targetObject(t commy.Target) object {
	return object{"reference": decimal(t.Reference), "weight": t.Weight, "status": t.Status, "port": t.Port,
		"endpoint": t.Endpoint}
}

func infoObject(i commy.ServiceInfo) object {
	return object{"name": i.Name, "id": i.ID, "endpoint": i.Endpoint, "version": i.Version, "zone": i.Zone,
		"node_id": i.NodeID, "tags": i.Tags, "weight": i.Weight, "owner_pid": i.OwnerPID, "status": i.Status,
		"admin": i.Admin, "port": i.Port, "registered_at_ns": decimal(uint64(i.RegisteredAt.UnixNano())),
		"metadata_bytes": decimal(uint64(i.MetadataBytes)), "response_time_ms": ms(i.ResponseTime)}
}

func infoObjects(infos []commy.ServiceInfo, err error) (any, error) {
	objects := make([]object, len(infos))
	for i, info := range infos {
		objects[i] = infoObject(info)
	}
	return objects, err
}

func statisticsObject(s commy.Statistics) object {
	return object{"total_services": s.TotalServices, "healthy_services": s.HealthyServices,
		"unhealthy_services": s.UnhealthyServices, "registered_services": s.RegisteredServices,
		"total_requests": decimal(s.TotalRequests), "successful_requests": decimal(s.SuccessfulRequests),
		"failed_requests": decimal(s.FailedRequests), "average_response_time_ms": ms(s.AverageResponseTime)}
}

// openAs gives an attached mesh its name.
func openAs(name string, mesh *commy.Mesh, err error) (any, error) {
	if err == nil {
		err = mesh.Initialize()
	}
	if err == nil {
		meshes[name] = mesh
	}
	return nil, err
}

func openMesh(_ *commy.Mesh, a arguments) (any, error) {
	flags := a.flags(3)
	mesh, err := commy.NewWithOptions(a.text("node_id"), a.integer("listen_port"), commy.Options{Mesh: a.text("name"),
		Dir: a.text("dir"), Group: a.text("group"), Capacity: a.integer("capacity"), Mode: a.integer("mode"),
		ReadOnly: flags[0], MustExist: flags[1], MustNotExist: flags[2]})
	return openAs(a.text("mesh"), mesh, err)
}

func register(m *commy.Mesh, a arguments) (any, error) {
	return nil, m.Register(commy.ServiceConfig{Name: a.text("service_name"), ID: a.text("service_id"),
		Endpoint: a.text("endpoint"), Port: a.integer("port"), Version: a.text("version"), Zone: a.text("zone"),
		Tags: a.texts("tags"), Weight: a.integer("weight"), TTL: a.duration("ttl_ms", time.Millisecond),
		Metadata: a.text("metadata"), Detached: a.flags(1)[0]})
}

func findMany(m *commy.Mesh, a arguments) (any, error) {
	found, err := m.FindMany(a.texts("ids"))
	objects := make([]object, len(found))
	for i, f := range found {
		if f.Err == nil {
			objects[i] = object{"code": 0, "target": targetObject(f.Target)}
		} else {
			objects[i] = object{"code": f.Err}
		}
	}
	return objects, err
}

func loadBalancer(a arguments) commy.LoadBalancer {
	return commy.LoadBalancer{Algorithm: commy.Algorithm(a.integer32("algorithm")),
		EnableCircuitBreaker:    a.boolean("enable_circuit_breaker"),
		CircuitBreakerThreshold: a.integer("circuit_breaker_threshold"),
		CircuitBreakerTimeout:   a.duration("circuit_breaker_timeout_ms", time.Millisecond)}
}

func beginRequest(m *commy.Mesh, a arguments) (any, error) {
	token, err := m.BeginRequest(a.unsigned("reference"))
	if err == nil {
		tokens[a.text("token")] = token
	}
	return nil, err
}

func endRequest(m *commy.Mesh, a arguments) (any, error) {
	token, begun := tokens[a.text("token")]
	if !begun {
		refuse(commy.ErrInvalid, "no request was begun as %s", a.text("token"))
	}
	return nil, m.EndRequest(token, a.duration("latency_ns", time.Nanosecond), a.boolean("success"))
}

func latency(m *commy.Mesh, a arguments) (any, error) {
	var ns time.Duration
	var err error
	if a.has("id") {
		ns, err = m.Latency(a.text("id"), a.float("quantile"))
	} else {
		ns, err = m.MeshLatency(a.float("quantile"))
	}
	return decimal(uint64(ns)), err
}

// within gives the context of a wait: negative, no end; 0, one that has ended.
func within(a arguments) (context.Context, context.CancelFunc) {
	timeout := a.integer32("timeout_ms")
	if timeout < 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), time.Duration(timeout)*time.Millisecond)
}

func wait(m *commy.Mesh, a arguments) (any, error) {
	ctx, cancel := within(a)
	defer cancel()
	var version uint64
	var err error
	if a.has("name") {
		version, err = m.Wait(ctx, a.text("name"), a.unsigned("version"))
	} else {
		version, err = m.WaitAny(ctx, a.unsigned("version"))
	}
	return decimal(version), err
}

// done is for calls that give nothing but an error.
func done(function func(m *commy.Mesh, a arguments) error) func(*commy.Mesh, arguments) (any, error) {
	return func(m *commy.Mesh, a arguments) (any, error) { return nil, function(m, a) }
}

var calls = map[string]call{
	"ffi_init":    {"", done(func(*commy.Mesh, arguments) error { return commy.Init() })},
	"ffi_cleanup": {"", done(func(*commy.Mesh, arguments) error { return commy.CleanupAll() })},
	"ffi_version": {"", func(*commy.Mesh, arguments) (any, error) { return commy.Version(), nil }},
	"status_string": {"", func(_ *commy.Mesh, a arguments) (any, error) {
		return commy.StatusString(commy.Code(a.integer32("status"))), nil
	}},
	"create_mesh": {"Initialize", func(_ *commy.Mesh, a arguments) (any, error) {
		mesh, err := commy.New(a.text("node_id"), a.integer("listen_port"))
		return openAs(a.text("mesh"), mesh, err)
	}},
	"open_mesh":       {"Initialize", openMesh},
	"start_mesh":      {"Start", done(func(m *commy.Mesh, a arguments) error { return m.Start() })},
	"stop_mesh":       {"Stop", done(func(m *commy.Mesh, a arguments) error { return m.Stop() })},
	"destroy_mesh":    {"Destroy", done(func(m *commy.Mesh, a arguments) error { return m.Destroy() })},
	"is_mesh_running": {"Running", func(m *commy.Mesh, a arguments) (any, error) { return m.Running() }},
	"get_node_id":     {"NodeID", func(m *commy.Mesh, a arguments) (any, error) { return m.NodeID() }},
	"get_mesh_stats": {"Statistics", func(m *commy.Mesh, a arguments) (any, error) {
		statistics, err := m.Statistics()
		return statisticsObject(statistics), err
	}},
	"register_service_simple": {"RegisterService", done(func(m *commy.Mesh, a arguments) error {
		return m.RegisterService(a.text("name"), a.text("id"), a.text("endpoint"), a.integer("port"))
	})},
	"register_service": {"Register", register},
	"unregister_service": {"UnregisterService", done(func(m *commy.Mesh, a arguments) error {
		return m.UnregisterService(a.text("id"))
	})},
	"heartbeat": {"Heartbeat", done(func(m *commy.Mesh, a arguments) error { return m.Heartbeat(a.text("id")) })},
	"discover_services": {"DiscoverServices", func(m *commy.Mesh, a arguments) (any, error) {
		return infoObjects(m.DiscoverServices(a.text("name")))
	}},
	"discover_services_count": {"DiscoverServicesCount", func(m *commy.Mesh, a arguments) (any, error) {
		return m.DiscoverServicesCount(a.text("name"))
	}},
	"get_all_services": {"AllServices", func(m *commy.Mesh, a arguments) (any, error) {
		return infoObjects(m.AllServices())
	}},
	"get_active_service_count": {"ActiveServiceCount", func(m *commy.Mesh, a arguments) (any, error) {
		return m.ActiveServiceCount()
	}},
	"get_service": {"Service", func(m *commy.Mesh, a arguments) (any, error) {
		info, err := m.Service(a.text("id"))
		return infoObject(info), err
	}},
	"find": {"Find", func(m *commy.Mesh, a arguments) (any, error) {
		target, err := m.Find(a.text("id"))
		return targetObject(target), err
	}},
	"find_many": {"FindMany", findMany},
	"get_service_metadata": {"ServiceMetadata", func(m *commy.Mesh, a arguments) (any, error) {
		return m.ServiceMetadata(a.text("id"))
	}},
	"update_service_metadata": {"UpdateServiceMetadata", done(func(m *commy.Mesh, a arguments) error {
		return m.UpdateServiceMetadata(a.text("id"), a.text("metadata"))
	})},
	"set_service_weight": {"SetServiceWeight", done(func(m *commy.Mesh, a arguments) error {
		return m.SetServiceWeight(a.text("id"), a.integer("weight"))
	})},
	"report_service_performance": {"ReportServicePerformance", done(func(m *commy.Mesh, a arguments) error {
		return m.ReportServicePerformance(a.text("id"), a.duration("response_time_ms", time.Millisecond), a.boolean("success"))
	})},
	"report": {"Report", done(func(m *commy.Mesh, a arguments) error {
		return m.Report(a.unsigned("reference"), a.duration("latency_ns", time.Nanosecond), a.boolean("success"))
	})},
	"begin_request": {"BeginRequest", beginRequest},
	"end_request":   {"EndRequest", endRequest},
	"get_latency":   {"Latency", latency},
	"configure_load_balancer": {"ConfigureLoadBalancer", done(func(m *commy.Mesh, a arguments) error {
		return m.ConfigureLoadBalancer(loadBalancer(a))
	})},
	"select_service": {"SelectService", func(m *commy.Mesh, a arguments) (any, error) {
		target, err := m.SelectService(a.text("name"), a.text("client_id"))
		return targetObject(target), err
	}},
	"wait": {"Wait", wait},
}
