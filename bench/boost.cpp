/*
 * boost.cpp - Boost.Interprocess: an unordered_map in shared memory under an interprocess_sharable_mutex, as its
 * documentation builds it, in processes.
 *
 * Readers share the mutex, writers have it alone. The map has a bucket for each entry from the start. The hash is XXH3,
 * and records of 64 bytes are copied out under the lock. Names are a second map, from a name to a vector of instances.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/vector.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/interprocess/sync/sharable_lock.hpp>
#include <boost/unordered_map.hpp>
#include <boost/version.hpp>

#include <string>

#include "names.h"

namespace ipc = boost::interprocess;

namespace
{

struct IdHash {
    std::size_t operator()(const bench_id_t &id) const
    {
        return XXH3_64bits(id.text, bench_id_length(id.text));
    }
};

struct IdEqual {
    bool operator()(const bench_id_t &a, const bench_id_t &b) const
    {
        return std::strcmp(a.text, b.text) == 0;
    }
};

using Pair = std::pair<const bench_id_t, bench_record_t>;
using Memory = ipc::managed_mapped_file;
using Allocator = ipc::allocator<Pair, Memory::segment_manager>;
using Map = boost::unordered_map<bench_id_t, bench_record_t, IdHash, IdEqual, Allocator>;
struct NameHash {
    std::size_t operator()(const bench_name_t &name) const
    {
        return XXH3_64bits(name.text, sizeof name.text);
    }
};

struct NameEqual {
    bool operator()(const bench_name_t &a, const bench_name_t &b) const
    {
        return std::memcmp(a.text, b.text, sizeof a.text) == 0;
    }
};

using InstanceAllocator = ipc::allocator<bench_instance_t, Memory::segment_manager>;
using Instances = ipc::vector<bench_instance_t, InstanceAllocator>;
using NamePair = std::pair<const bench_name_t, Instances>;
using NameAllocator = ipc::allocator<NamePair, Memory::segment_manager>;
using Names = boost::unordered_map<bench_name_t, Instances, NameHash, NameEqual, NameAllocator>;
using Mutex = ipc::interprocess_sharable_mutex;

constexpr std::size_t bytes_per_service = 256, bytes_per_instance = 512;

std::string path_of(const bench_place_t *place)
{
    return std::string(place->dir) + "/boost";
}

struct Worker {
    Memory memory;
    Map *map;
    Names *names;
    Mutex *mutex;
    bench_id_t own;
    bench_record_t record;
    bool there = false; /* for mixes: whether the worker's own id stands */
    uint64_t steps = 0;

    Worker(const bench_place_t *place, unsigned number)
        : memory(ipc::open_only, path_of(place).c_str()), map(memory.find<Map>("map").first),
          names(memory.find<Names>("names").first), mutex(memory.find<Mutex>("mutex").first)
    {
        bench_write_id(&own, place->keys->seed, BENCH_SPARE_OF(number));
        bench_write_record(&record, place->keys->seed, BENCH_SPARE_OF(number));
    }

    bool get(const char *id, bench_record_t *out)
    {
        ipc::sharable_lock<Mutex> lock(*mutex);
        auto found = map->find(*reinterpret_cast<const bench_id_t *>(id));
        if (found == map->end())
            return false;
        *out = found->second;
        __asm__ volatile("" : : "r"(out) : "memory"); /* all 64 bytes are wanted */
        return true;
    }

    /* Read in place, under the lock. */
    uint64_t walk(const bench_name_t &name)
    {
        ipc::sharable_lock<Mutex> lock(*mutex);
        auto found = names->find(name);
        uint64_t sum = 0;
        if (found == names->end())
            return 0;
        for (const bench_instance_t &instance : found->second)
            sum += instance.record.port != 0;
        return sum;
    }

    bool add()
    {
        ipc::scoped_lock<Mutex> lock(*mutex);
        return map->emplace(own, record).second;
    }

    bool take_away()
    {
        ipc::scoped_lock<Mutex> lock(*mutex);
        return map->erase(own) == 1;
    }

    bool half_change()
    {
        bool done = there ? take_away() : add();
        there = !there;
        return done;
    }
};

const char *open_map(const bench_place_t *place)
{
    bool with_names = place->profile == PROFILE_NAMES;
    std::size_t bytes = bytes_per_service + (with_names ? bytes_per_instance : 0);
    Memory memory(ipc::create_only, path_of(place).c_str(), (32u << 20) + place->keys->size * bytes);
    memory.construct<Mutex>("mutex")();
    memory.construct<Map>("map")(place->keys->size, IdHash(), IdEqual(), memory.get_segment_manager());
    memory.construct<Names>("names")(with_names ? place->keys->size / BENCH_PER_NAME : 1, NameHash(), NameEqual(),
                                     memory.get_segment_manager());
    return nullptr;
}

struct Filler {
    Worker worker;
    bool with_names;
};

void fill_in(void *user, const bench_name_t *name, const bench_instance_t *instance)
{
    auto *filler = static_cast<Filler *>(user);

    if (!filler->worker.map->emplace(instance->id, instance->record).second)
        bench_die("boost: id %s is there already", instance->id.text);
    if (!filler->with_names)
        return;
    auto at = filler->worker.names->find(*name);
    if (at == filler->worker.names->end())
        at = filler->worker.names->emplace(*name, Instances(filler->worker.memory.get_segment_manager())).first;
    at->second.push_back(*instance);
}

void fill(const bench_place_t *place)
{
    Filler filler{Worker(place, 0), place->profile == PROFILE_NAMES};

    bench_each_instance(place, fill_in, &filler);
}

uint64_t bytes(const bench_place_t *place)
{
    Memory memory(ipc::open_only, path_of(place).c_str());
    return memory.get_size() - memory.get_free_memory();
}

void *begin(const bench_place_t *place, unsigned number)
{
    return new Worker(place, number);
}

void end(void *self)
{
    delete static_cast<Worker *>(self);
}

uint64_t find(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        if (worker->get(bench_hit(keys, first + i), &record))
            sum += bench_record_answer(&record);
    return sum;
}

uint64_t miss(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += worker->get(bench_miss(keys, first + i), &record);
    return sum;
}

uint64_t dependent(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    const bench_keys_t *keys = job->place->keys;
    bench_record_t record;
    uint64_t sum = 0, answer = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (!worker->get(bench_hit(keys, first + i + bench_nothing_of(answer)), &record))
            break;
        sum += answer = bench_record_answer(&record);
    }
    return sum;
}

uint64_t iterate(void *self, const bench_job_t *job, uint64_t, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    const bench_name_t name = bench_hot_name(job->instances);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += worker->walk(name);
    return sum;
}

uint64_t iterate_spread(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    const bench_keys_t *keys = job->place->keys;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += worker->walk(bench_spread_name(keys->numbers[(first + i) & (keys->stream - 1)])) > 0;
    return sum;
}

uint64_t change(void *self, const bench_job_t *, uint64_t, uint64_t count)
{
    auto *worker = static_cast<Worker *>(self);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += worker->add() && worker->take_away();
    return sum;
}

uint64_t mix(Worker *worker, const bench_keys_t *keys, uint64_t first, uint64_t count, unsigned every)
{
    bench_record_t record;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++)
        sum += ++worker->steps % every == 0 ? worker->half_change() : worker->get(bench_hit(keys, first + i), &record);
    if (worker->there)
        worker->half_change(); /* the next turn may be another workload's */
    return sum;
}

uint64_t mix_99(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(static_cast<Worker *>(self), job->place->keys, first, count, 100);
}

uint64_t mix_90(void *self, const bench_job_t *job, uint64_t first, uint64_t count)
{
    return mix(static_cast<Worker *>(self), job->place->keys, first, count, 10);
}

/* The table of operations, which C++ before 2020 cannot fill in by name. */
bench_contender_t describe()
{
    bench_contender_t boost = {};

    boost.name = "boost";
    boost.about = "Boost.Interprocess " BOOST_LIB_VERSION ", unordered_map under interprocess_sharable_mutex, "
                  "managed_mapped_file in memory, processes, XXH3, a bucket for each entry";
    boost.most = UINT64_MAX;
    boost.open = open_map;
    boost.fill = fill;
    boost.bytes = bytes;
    boost.begin = begin;
    boost.ops[OP_FIND] = find;
    boost.ops[OP_MISS] = miss;
    boost.ops[OP_DEPENDENT] = dependent;
    boost.ops[OP_ITERATE] = iterate;
    boost.ops[OP_DISCOVER_SPREAD] = iterate_spread;
    boost.ops[OP_REGISTER] = change;
    boost.ops[OP_MIX_99] = mix_99;
    boost.ops[OP_MIX_90] = mix_90;
    boost.end = end;
    return boost;
}

} // namespace

extern "C" {
extern const bench_contender_t bench_boost;
const bench_contender_t bench_boost = describe();
}
