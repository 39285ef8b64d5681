//! cgroup v2: limits to files. Device rules are not files here: see [`crate::devices::program`].
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use crate::Controller::{self, Cpu, Cpuset, Hugetlb, Io, Memory, Pids, Rdma};
use crate::limits::{Bound, CpuLimits, DeviceRate, IoLimits, Limits, MemoryLimits, RdmaLimit};
use crate::plan::{IfAbsent, Plan, Write};

/// Says which v2 files to write, in order.
pub fn plan(limits: &Limits) -> Plan {
    let mut plan = Plan::default();
    memory(&limits.memory, &mut plan);
    cpu(&limits.cpu, &mut plan);
    if let Some(bound) = limits.pids {
        plan.add(Pids, "pids.max", bound.v2());
    }
    io(&limits.io, &mut plan);
    for page in &limits.hugepages {
        let file = |what: &str| format!("hugetlb.{}.{what}max", page.page_size);
        plan.add(Hugetlb, file(""), page.limit);
        plan.push(Hugetlb, file("rsvd."), page.limit, IfAbsent::Skip);
    }
    plan.unsupported(
        Controller::NetCls,
        "network.classID",
        limits.network.class_id.is_some(),
    );
    plan.unsupported(
        Controller::NetPrio,
        "network.priorities",
        !limits.network.priorities.is_empty(),
    );
    for (device, limit) in &limits.rdma {
        plan.add(Rdma, "rdma.max", rdma_line(device, *limit));
    }
    for (file, value) in &limits.unified {
        let name = file.split('.').next().unwrap_or_default();
        let controller = Controller::from_v2(name).unwrap_or(Controller::Core);
        plan.add(controller, file.clone(), value);
    }
    plan
}

fn memory(memory: &MemoryLimits, plan: &mut Plan) {
    if let Some(bound) = memory.limit {
        plan.add(Memory, "memory.max", bound.v2());
    }
    if let Some(swap) = swap_alone(memory) {
        // Absent on kernels without swap.
        plan.push(Memory, "memory.swap.max", swap.v2(), IfAbsent::Report);
    }
    if let Some(bound) = memory.reservation {
        plan.add(Memory, "memory.low", bound.v2());
    }
    plan.unsupported(Memory, "memory.swappiness", memory.swappiness.is_some());
    plan.unsupported(Memory, "memory.kernelTCP", memory.kernel_tcp.is_some());
    plan.unsupported(Memory, "memory.disableOOMKiller", memory.oom_killer_off);
}

/// v2 bounds swap by itself; OCI, docker and v1 bound memory and swap together.
fn swap_alone(memory: &MemoryLimits) -> Option<Bound> {
    match (memory.with_swap?, memory.limit) {
        (Bound::At(both), Some(Bound::At(limit))) => Some(Bound::At(both.saturating_sub(limit))),
        _ => Some(Bound::Unlimited),
    }
}

fn cpu(cpu: &CpuLimits, plan: &mut Plan) {
    if let Some(shares) = cpu.shares {
        plan.add(Cpu, "cpu.weight", weight_from_shares(shares));
    }
    // `cpu.max` takes both or the quota alone; a period alone goes with no quota.
    match (cpu.quota, cpu.period) {
        (None, None) => {}
        (quota, None) => plan.add(Cpu, "cpu.max", quota.unwrap_or(Bound::Unlimited).v2()),
        (quota, Some(period)) => {
            let quota = quota.unwrap_or(Bound::Unlimited).v2();
            plan.add(Cpu, "cpu.max", format_args!("{quota} {period}"));
        }
    }
    if let Some(burst) = cpu.burst {
        plan.push(Cpu, "cpu.max.burst", burst, IfAbsent::Report);
    }
    plan.unsupported(Cpu, "cpu.realtimeRuntime", cpu.realtime_runtime.is_some());
    plan.unsupported(Cpu, "cpu.realtimePeriod", cpu.realtime_period.is_some());
    if let Some(idle) = cpu.idle {
        plan.push(Cpu, "cpu.idle", u8::from(idle), IfAbsent::Report);
    }
    if let Some(list) = &cpu.cpus {
        plan.add(Cpuset, "cpuset.cpus", list);
    }
    if let Some(list) = &cpu.mems {
        plan.add(Cpuset, "cpuset.mems", list);
    }
}

/// Turns v1's shares (2 to 262144, default 1024) into v2's weight (1 to 10000, default 100).
///
/// The curve through (2, 1), (1024, 100) and (262144, 10000), a parabola in the logarithms, which crun and runc use since 2025. The straight line used
/// before made the default of 1024 shares a weight of 39, so a container lost against everything else on the machine.
pub fn weight_from_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // 1024 must be 100, whatever the last bit of the logarithm.
            let weight = (10f64.powf(exponent) - 1e-9).ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = weight as u64;
            weight.clamp(1, 10_000)
        }
    }
}

fn io(io: &IoLimits, plan: &mut Plan) {
    if let Some(weight) = io.weight {
        plan.writes.push(weight_write(None, weight));
    }
    for one in &io.device_weights {
        plan.writes
            .push(weight_write(Some((one.major, one.minor)), one.weight));
    }
    plan.unsupported(Io, "blockIO.leafWeight", io.leaf_weights);
    let mut rates = |key: &str, list: &[DeviceRate]| {
        for one in list {
            plan.add(
                Io,
                "io.max",
                format_args!("{}:{} {key}={}", one.major, one.minor, one.rate),
            );
        }
    };
    rates("rbps", &io.read_bytes);
    rates("wbps", &io.write_bytes);
    rates("riops", &io.read_operations);
    rates("wiops", &io.write_operations);
}

/// The BFQ scheduler has its own file with v1's range; `io.weight` belongs to io.cost and goes to 10000.
fn weight_write(device: Option<(u32, u32)>, weight: u16) -> Write {
    let line = |value: u32| match device {
        Some((major, minor)) => format!("{major}:{minor} {value}"),
        None => format!("default {value}"),
    };
    let spread = 1 + (u32::from(weight) - 10) * 9999 / 990;
    Write {
        controller: Io,
        file: "io.bfq.weight".into(),
        value: line(u32::from(weight)),
        if_absent: IfAbsent::Else(Box::new(Write {
            controller: Io,
            file: "io.weight".into(),
            value: line(spread),
            if_absent: IfAbsent::Report,
        })),
    }
}

/// The line both versions take in `rdma.max`.
pub(crate) fn rdma_line(device: &str, limit: RdmaLimit) -> String {
    let mut line = device.to_owned();
    if let Some(handles) = limit.handles {
        line.push_str(&format!(" hca_handle={handles}"));
    }
    if let Some(objects) = limit.objects {
        line.push_str(&format!(" hca_object={objects}"));
    }
    line
}

#[cfg(test)]
#[path = "v2_tests.rs"]
mod tests;
