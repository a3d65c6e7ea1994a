/*
 * commy for Node.js. Meanings, limits and lifetimes are those of the library (docs/node.md, man 3 libcommy); what is
 * outside its limits is refused with InvalidParameterError. Every function may throw any CommyError; those named are
 * the ones to expect.
 */

/** Numbers of 64 bits: bigint, or an exact number. */
export type Wide = bigint | number;

/** What a mesh is opened with. Left out: the default. */
export interface MeshOptions {
    /** The mesh's name: 1-63 of `A-Z a-z 0-9 . _ -`. Default: `$COMMY_MESH`, else "default". */
    mesh?: string | null;
    /** The directory of regions. Default: `$COMMY_DIR`, else `/dev/shm/commy-<euid>`. */
    dir?: string | null;
    /** The group that may use a region made here. */
    group?: string | null;
    /** How many services a region made here holds: 16 to 1,048,576. Default: 8,192. */
    capacity?: number | null;
    /** The permissions of a region made here. Default: 0o600, with a group 0o660 or 0o640. */
    mode?: number | null;
    /** Attach read-only: lookups and waits only. The region must exist. */
    readOnly?: boolean;
    /** Never make a region. */
    mustExist?: boolean;
    /** Make the region, or throw AlreadyExistsError. */
    mustNotExist?: boolean;
}

export type HealthValue = 0 | 1 | 2 | 3;
export declare const Health: Readonly<{ UNKNOWN: 0; HEALTHY: 1; UNHEALTHY: 2; DEGRADED: 3 }>;

export type AdminValue = 0 | 1 | 2;
export declare const Admin: Readonly<{ ENABLED: 0; DRAINING: 1; MAINTENANCE: 2 }>;

export type BreakerValue = 0 | 1 | 2;
/** Open: not selected. Half-open: one participant of the host may try it, or does. */
export declare const Breaker: Readonly<{ CLOSED: 0; OPEN: 1; HALF_OPEN: 2 }>;

export type AlgorithmValue = 0 | 1 | 2 | 3 | 4 | 5;
export declare const Algorithm: Readonly<{
    ROUND_ROBIN: 0;
    LEAST_CONNECTIONS: 1;
    WEIGHTED_ROUND_ROBIN: 2;
    PERFORMANCE: 3;
    RANDOM: 4;
    CONSISTENT_HASH: 5;
}>;

/** What a service is registered with. */
export interface ServiceConfig {
    /** 1-63 bytes. */
    name: string;
    /** 1-127 bytes, unique in the mesh. */
    id: string;
    /** A host, an address or `unix:/path`: 1-255 bytes. */
    endpoint: string;
    /** 1-65535; 0 only with `unix:`. */
    port?: number;
    version?: string | null;
    zone?: string | null;
    /** Up to 16 of 1-31 bytes. */
    tags?: readonly string[];
    /** 1-65535. 0 and left out: 100 (setServiceWeight() sets 0). */
    weight?: number;
    /** 0: none. Missing it makes the service unhealthy, and ends a detached one; heartbeat() begins it anew. */
    ttlMs?: Wide;
    /** Up to 4,096 bytes of JSON: text as it is, anything else written as JSON. */
    metadata?: unknown;
    /** Owned by nobody: lives until its TTL expires. */
    detached?: boolean;
}

/** Everything known about a service, but for its metadata. */
export interface ServiceInfo {
    name: string;
    id: string;
    endpoint: string;
    port: number;
    version: string;
    zone: string;
    nodeId: string;
    tags: string[];
    weight: number;
    /** 0 for a detached service. */
    ownerPid: number;
    status: HealthValue;
    admin: AdminValue;
    /** Unix time. */
    registeredAtNs: bigint;
    metadataBytes: number;
    /** The average of the latencies reported; 0 before the first. */
    responseTimeMs: number;
}

/** What a client needs to connect to a service and to report on it. */
export interface Target {
    /** Names this registration and no later one. */
    reference: bigint;
    weight: number;
    status: HealthValue;
    port: number;
    endpoint: string;
}

export interface MeshStatistics {
    totalServices: number;
    /** Degraded counts as healthy. */
    healthyServices: number;
    unhealthyServices: number;
    /** Those that this mesh object owns. */
    registeredServices: number;
    totalRequests: bigint;
    successfulRequests: bigint;
    failedRequests: bigint;
    averageResponseTimeMs: number;
}

export interface LoadBalancerConfig {
    /** One of Algorithm. Default: round robin. */
    algorithm?: number;
    /** Left out: off. */
    circuitBreaker?: { threshold: number; timeoutMs: Wide };
}

/** How services are checked. Left out: the library's default. */
export interface HealthConfig {
    /** From one check's start to the next; up to a day. Default: 5,000. */
    checkIntervalMs?: Wide;
    /** After which a check has failed; up to 240,000. Default: 1,000. */
    timeoutMs?: Wide;
    /** Failures in a row that make a service unhealthy: 1-255. Default: 3. */
    maxFailures?: number;
    /** Successes in a row that make it healthy again: 1-255. Default: 2. */
    recoveryChecks?: number;
}

export interface HealthStatus {
    status: HealthValue;
    responseTimeMs: number;
}

export interface RequestStatistics {
    totalRequests: bigint;
    successfulRequests: bigint;
    failedRequests: bigint;
    averageResponseTimeMs: number;
}

/** What is watched, at some instant after its last change. */
export interface Change {
    version: bigint;
    services: ServiceInfo[];
}

export interface WaitOptions {
    /** 0: only look. Negative, and left out: for ever. */
    timeoutMs?: number;
    /** Its abort rejects the promise with its reason. */
    signal?: AbortSignal;
}

/**
 * One attachment to a mesh.
 *
 * Functions that return promises may take longer than a microsecond or change who takes part; those that return
 * values are over at once. None blocks the event loop. A mesh that is forgotten is cleaned up by the garbage
 * collector, and with it what it registered: keep it.
 */
export declare class CommyMesh {
    /**
     * Attaches nothing yet. Without options it stands for the default mesh, and needs a node id and a port.
     * @param nodeId 1-63 of `A-Z a-z 0-9 . _ -`
     * @param port   where this node listens, for others to see; 1-65535
     */
    constructor(nodeId: string, port: number);
    constructor(nodeId: string | null | undefined, port: number | null | undefined, options: MeshOptions);

    /**
     * Attaches; makes the region where it is missing. Again: success. Throws InitFailedError where there is no
     * library.
     */
    initialize(): Promise<this>;
    /** Joins the mesh, as the first change to it does by itself. Again: success. */
    start(): Promise<void>;
    /** Unregisters what was registered here, ends its requests, and leaves. Again: success. */
    stop(): Promise<void>;
    /** Stops and detaches. Again: success. May be initialized anew. */
    cleanup(): Promise<void>;
    /** Stops and detaches; NoHandleError where there is nothing to detach. */
    destroy(): Promise<void>;
    isRunning(): Promise<boolean>;
    getNodeId(): Promise<string>;
    /** Walks all services. */
    getStatistics(): Promise<MeshStatistics>;

    /** Throws AlreadyExistsError (a live service has the id), RegionFullError. */
    registerService(name: string, id: string, endpoint: string, port: number): Promise<void>;
    registerService(config: ServiceConfig): Promise<void>;
    /** Whoever registered it. Throws NotFoundError, as all that follow with an id do. */
    unregisterService(id: string): Promise<void>;
    /** JSON: text as it is, anything else written as JSON. Null: none. */
    updateServiceMetadata(id: string, metadata: unknown): Promise<void>;
    /** 0 (never selected by weight) to 65535. */
    setServiceWeight(id: string, weight: number): Promise<void>;
    /** Begins its TTL anew. */
    heartbeat(id: string): void;

    /** Every live instance of a name. None: an empty array. */
    discoverServices(name: string): Promise<ServiceInfo[]>;
    discoverServicesCount(name: string): Promise<number>;
    getAllServices(): Promise<ServiceInfo[]>;
    getActiveServiceCount(): Promise<number>;
    getService(id: string): Promise<ServiceInfo>;
    /** The text as it was registered; "" where there is none. */
    getServiceMetadata(id: string): Promise<string>;
    /** Well below a microsecond. */
    find(id: string): Target;
    /** Many in one call. Of each: its target, or null and the code why (Status.NOT_FOUND, Status.INVALID). */
    findMany(ids: readonly string[]): { targets: Array<Target | null>; codes: number[] };

    /** How this mesh object selects from now on. */
    configureLoadBalancer(config: LoadBalancerConfig): Promise<void>;
    /** Throws NotFoundError (the name has no instance), NoHealthyError (none may be selected). */
    selectService(name: string, clientId?: string | null): Target;
    /** Selects an instance and counts `work` on it as one request: in flight, how long, and failed if it throws. */
    request<T>(
        name: string,
        work: (target: Target) => T | Promise<T>,
        options?: { clientId?: string | null },
    ): Promise<T>;
    /** A request in flight. Gives the token to end it with. */
    beginRequest(target: Target | Wide): bigint;
    endRequest(token: Wide, latencyNs: Wide, success: boolean): void;
    /** Counts one request that is over. */
    report(target: Target | Wide, latencyNs: Wide, success: boolean): void;
    reportServicePerformance(id: string, responseTimeMs: Wide, success: boolean): void;
    /** Nanoseconds, of a service, of a name or (null) of the mesh. quantile: 0 to 1. */
    getLatency(idOrName: string | null, quantile: number): Promise<bigint>;

    /** All live instances of a name together. Throws NotFoundError (it has none). */
    getLoadBalancerStatistics(name: string): Promise<RequestStatistics>;
    /** How the breaker of a service stands, and its failures in a row. */
    getCircuitBreakerStatus(id: string): Promise<{ state: BreakerValue; failures: number }>;
    /** Closes it. */
    resetCircuitBreaker(id: string): Promise<void>;

    /** How this mesh object has services checked and selects, where a call says nothing else. All or nothing. */
    configure(config: { health?: HealthConfig | null; loadBalancer?: LoadBalancerConfig | null }): Promise<void>;
    /** Has a service checked, by this process or another that monitors it. */
    startHealthMonitoring(id: string, config?: HealthConfig | null): Promise<void>;
    stopHealthMonitoring(id: string): Promise<void>;
    getServiceHealth(id: string): Promise<HealthStatus>;
    /** Checks a service once, now, in a thread of its own. */
    manualHealthCheck(id: string): Promise<HealthStatus>;
    setHealth(id: string, status: HealthValue): Promise<void>;
    /** Draining and maintenance take it out of selection. */
    setAdmin(id: string, admin: AdminValue): Promise<void>;

    /** Watches the instances of a name, or (null, or left out) the whole mesh. To be closed. */
    openWatch(name?: string | null): Promise<Watch>;
    /**
     * The instances of a name (null, or left out: all services): first as they are, then after each change, of which
     * the last is never missed. Ends when the loop is left; throws the signal's reason when that aborts, and
     * NotRunningError when the mesh is stopped.
     */
    watch(name?: string | null, options?: { signal?: AbortSignal | undefined }): AsyncGenerator<Change, void, void>;

    /**
     * Waits until something changed among the instances of a name (null: in the mesh) since `version`; gives the
     * version to wait for next. 0: gives the present one at once. A return without a change is possible. Throws
     * TimedOutError.
     */
    wait(name: string | null, version: Wide, options?: WaitOptions): Promise<bigint>;

    [Symbol.asyncDispose](): Promise<void>;
}

/** What watches a name, or a mesh. Waiting costs nothing while nothing changes. */
export declare class Watch {
    private constructor();
    /** Readable when a wait would not wait. The watch's: not to be read from, nor closed. */
    get fd(): number;
    /** Whether a wait would not wait, as the event loop sees it now. */
    isReadable(): Promise<boolean>;
    /** Waits for a change since the last wait; the first gives the present version at once. Throws TimedOutError. */
    wait(options?: WaitOptions): Promise<bigint>;
    /** Ends the waits under way with InterruptedError, or the next one. */
    wake(): void;
    /** Ends the waits under way with InterruptedError. */
    close(): void;
    /** The versions, one after each change. */
    [Symbol.asyncIterator](): AsyncGenerator<bigint, void, void>;
    [Symbol.asyncDispose](): Promise<void>;
}

/** The library's version. */
export declare function version(): string;
/** Loads the library and sets it up, which the first call does by itself. */
export declare function init(): void;
/** Stops and destroys every mesh of this process. New ones may be made. */
export declare function cleanup(): void;
/** Of the last call of this thread that failed. */
export declare function lastError(): { code: number; message: string };
/** A few words for a code. */
export declare function statusString(code: number): string;

export declare const Status: Readonly<{
    SUCCESS: 0;
    INIT_FAILED: 1;
    INVALID: 2;
    NO_HANDLE: 3;
    NO_MEMORY: 4;
    NOT_FOUND: 5;
    EXISTS: 6;
    FULL: 7;
    PERMISSION: 8;
    LAYOUT: 9;
    CORRUPT: 10;
    TIMED_OUT: 11;
    NOT_RUNNING: 12;
    NO_HEALTHY: 13;
    CIRCUIT_OPEN: 14;
    FORKED: 15;
    NO_SPACE: 16;
    NOT_A_REGION: 17;
    OTHER_BOOT: 18;
    LIMIT: 19;
    KERNEL: 20;
    READ_ONLY: 21;
    REMOVED: 22;
    BUSY: 23;
    INTERRUPTED: 24;
    MESH_NOT_FOUND: 25;
    INTERNAL: 99;
}>;

/** `message` is the library's sentence: it names the value and the way out. */
export declare class CommyError extends Error {
    constructor(message: string, code: number, status: string);
    /** One of Status. */
    readonly code: number;
    /** Its name, "NOT_FOUND". */
    readonly status: string;
}
export declare class InitFailedError extends CommyError {
    constructor(message: string);
}
export declare class InvalidParameterError extends CommyError {
    constructor(message: string);
}
export declare class NoHandleError extends CommyError {
    constructor(message: string);
}
export declare class NoMemoryError extends CommyError {
    constructor(message: string);
}
export declare class NotFoundError extends CommyError {
    constructor(message: string);
}
export declare class AlreadyExistsError extends CommyError {
    constructor(message: string);
}
export declare class RegionFullError extends CommyError {
    constructor(message: string);
}
export declare class PermissionError extends CommyError {
    constructor(message: string);
}
export declare class LayoutError extends CommyError {
    constructor(message: string);
}
export declare class CorruptError extends CommyError {
    constructor(message: string);
}
export declare class TimedOutError extends CommyError {
    constructor(message: string);
}
export declare class NotRunningError extends CommyError {
    constructor(message: string);
}
export declare class NoHealthyError extends CommyError {
    constructor(message: string);
}
export declare class CircuitOpenError extends CommyError {
    constructor(message: string);
}
export declare class ForkedError extends CommyError {
    constructor(message: string);
}
export declare class NoSpaceError extends CommyError {
    constructor(message: string);
}
export declare class NotARegionError extends CommyError {
    constructor(message: string);
}
export declare class OtherBootError extends CommyError {
    constructor(message: string);
}
export declare class LimitError extends CommyError {
    constructor(message: string);
}
export declare class KernelError extends CommyError {
    constructor(message: string);
}
export declare class ReadOnlyError extends CommyError {
    constructor(message: string);
}
export declare class RemovedError extends CommyError {
    constructor(message: string);
}
export declare class BusyError extends CommyError {
    constructor(message: string);
}
export declare class InterruptedError extends CommyError {
    constructor(message: string);
}
export declare class MeshNotFoundError extends CommyError {
    constructor(message: string);
}
export declare class InternalError extends CommyError {
    constructor(message: string);
}
