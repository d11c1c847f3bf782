package inventory

import "strings"

// virtualization names the hypervisor by what its virtual hardware calls
// itself. A processor that only says it is virtual gives "unknown"; "" is a
// machine of its own, as far as can be seen.
func virtualization(manufacturer, model, sysHypervisor string, hypervisor bool) string {
	both := strings.ToLower(manufacturer + " " + model)
	for _, k := range []struct{ text, name string }{
		{"vmware", "vmware"}, {"virtualbox", "virtualbox"}, {"innotek", "virtualbox"}, {"parallels", "parallels"},
		{"bhyve", "bhyve"}, {"amazon ec2", "amazon"}, {"google compute engine", "google"}, {"hetzner vserver", "kvm"}, {"digitalocean droplet", "kvm"},
		{"openstack", "kvm"}, {"kubevirt", "kvm"}, {"qemu", "kvm"}, {"apple virtualization", "apple"}, {"virtualmac", "apple"}, {"hvm domu", "xen"}, {"xen", "xen"},
		{"nutanix ahv", "kvm"}, {"firecracker", "kvm"}, {"kvm", "kvm"},
	} {
		if strings.Contains(both, k.text) {
			if k.name == "amazon" && strings.Contains(both, ".metal") {
				return ""
			}
			return k.name
		}
	}
	// Microsoft makes machines too; only its virtual ones are called so.
	if strings.Contains(both, "microsoft") && strings.Contains(both, "virtual machine") {
		return "hyperv"
	}
	if sysHypervisor == "xen" {
		return "xen"
	}
	if hypervisor {
		return "unknown"
	}
	return ""
}

// container names what this process is shut into, by the marks that the
// engines leave; "" when there are none.
func (c *Collector) container() string {
	if exists(c.path(".dockerenv")) {
		return "docker"
	}
	if exists(c.path("run", ".containerenv")) {
		return "podman"
	}
	if name := readText(c.path("run", "systemd", "container")); name != "" {
		return name // written by systemd from the engine's own word
	}
	for entry := range strings.SplitSeq(string(readOrNil(c.proc, "1", "environ")), "\x00") {
		if name, ok := strings.CutPrefix(entry, "container="); ok {
			return name
		}
	}
	return ""
}
