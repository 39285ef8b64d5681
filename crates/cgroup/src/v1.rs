//! cgroup v1: limits to files.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v1/>

use hull_spec::runtime::DeviceRule;

use crate::Controller::{Cpu, Cpuset, Devices, Hugetlb, Io, Memory, NetCls, NetPrio, Pids, Rdma};
use crate::limits::{CpuLimits, DeviceRate, IoLimits, Limits, MemoryLimits};
use crate::plan::{IfAbsent, Plan, Write};
use crate::{devices, v2};

/// Says which v1 files to write, in order.
pub fn plan(limits: &Limits) -> Plan {
    let mut plan = Plan::default();
    device_rules(&limits.devices, &mut plan);
    memory(&limits.memory, &mut plan);
    cpu(&limits.cpu, &mut plan);
    if let Some(bound) = limits.pids {
        plan.add(Pids, "pids.max", bound.v2());
    }
    io(&limits.io, &mut plan);
    for page in &limits.hugepages {
        let file = |what: &str| format!("hugetlb.{}.{what}limit_in_bytes", page.page_size);
        plan.add(Hugetlb, file(""), page.limit);
        plan.push(Hugetlb, file("rsvd."), page.limit, IfAbsent::Skip);
    }
    if let Some(class) = limits.network.class_id {
        plan.add(NetCls, "net_cls.classid", class);
    }
    for (interface, priority) in &limits.network.priorities {
        plan.add(
            NetPrio,
            "net_prio.ifpriomap",
            format_args!("{interface} {priority}"),
        );
    }
    for (device, limit) in &limits.rdma {
        plan.add(Rdma, "rdma.max", v2::rdma_line(device, *limit));
    }
    plan
}

fn memory(memory: &MemoryLimits, plan: &mut Plan) {
    if let Some(bound) = memory.limit {
        plan.add(Memory, "memory.limit_in_bytes", bound.v1());
    }
    // A new group has no bound on both together, so the limit comes first; when raising an old one, `Plan` tries it again.
    if let Some(bound) = memory.with_swap {
        // Absent when the kernel does not account swap.
        plan.push(
            Memory,
            "memory.memsw.limit_in_bytes",
            bound.v1(),
            IfAbsent::Report,
        );
    }
    if let Some(bound) = memory.reservation {
        plan.add(Memory, "memory.soft_limit_in_bytes", bound.v1());
    }
    if let Some(bound) = memory.kernel_tcp {
        plan.push(
            Memory,
            "memory.kmem.tcp.limit_in_bytes",
            bound.v1(),
            IfAbsent::Report,
        );
    }
    if let Some(value) = memory.swappiness {
        plan.add(Memory, "memory.swappiness", value);
    }
    if memory.oom_killer_off {
        plan.add(Memory, "memory.oom_control", 1);
    }
}

fn cpu(cpu: &CpuLimits, plan: &mut Plan) {
    if let Some(shares) = cpu.shares {
        plan.add(Cpu, "cpu.shares", shares);
    }
    if let Some(period) = cpu.period {
        plan.add(Cpu, "cpu.cfs_period_us", period);
    }
    if let Some(quota) = cpu.quota {
        plan.add(Cpu, "cpu.cfs_quota_us", quota.v1());
    }
    if let Some(burst) = cpu.burst {
        plan.push(Cpu, "cpu.cfs_burst_us", burst, IfAbsent::Report);
    }
    if let Some(period) = cpu.realtime_period {
        plan.push(Cpu, "cpu.rt_period_us", period, IfAbsent::Report);
    }
    if let Some(runtime) = cpu.realtime_runtime {
        plan.push(Cpu, "cpu.rt_runtime_us", runtime, IfAbsent::Report);
    }
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

fn io(io: &IoLimits, plan: &mut Plan) {
    // The file is CFQ's before Linux 5.0 and BFQ's since, where that scheduler is there at all.
    let weight = |file: &'static str, bfq: &'static str, value: String| Write {
        controller: Io,
        file: file.into(),
        value: value.clone(),
        if_absent: IfAbsent::Else(Box::new(Write {
            controller: Io,
            file: bfq.into(),
            value,
            if_absent: IfAbsent::Report,
        })),
    };
    if let Some(value) = io.weight {
        plan.writes.push(weight(
            "blkio.weight",
            "blkio.bfq.weight",
            value.to_string(),
        ));
    }
    for one in &io.device_weights {
        let line = format!("{}:{} {}", one.major, one.minor, one.weight);
        plan.writes.push(weight(
            "blkio.weight_device",
            "blkio.bfq.weight_device",
            line,
        ));
    }
    plan.unsupported(Io, "blockIO.leafWeight", io.leaf_weights);
    let mut rates = |file: &'static str, list: &[DeviceRate]| {
        for one in list {
            plan.add(
                Io,
                file,
                format_args!("{}:{} {}", one.major, one.minor, one.rate),
            );
        }
    };
    rates("blkio.throttle.read_bps_device", &io.read_bytes);
    rates("blkio.throttle.write_bps_device", &io.write_bytes);
    rates("blkio.throttle.read_iops_device", &io.read_operations);
    rates("blkio.throttle.write_iops_device", &io.write_operations);
}

fn device_rules(rules: &[DeviceRule], plan: &mut Plan) {
    for (allow, line) in rules.iter().flat_map(devices::v1_lines) {
        let file = if allow {
            "devices.allow"
        } else {
            "devices.deny"
        };
        plan.add(Devices, file, line);
    }
}

#[cfg(test)]
#[path = "v1_tests.rs"]
mod tests;
