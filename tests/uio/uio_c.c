// SPDX-License-Identifier: GPL-2.0
/*
 * A device of C's UIO with the maps of samples/rust/rust_uio.rs, and without an
 * interrupt: /dev/uio0.
 */

#include <linux/device.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uio_driver.h>

/* As in rust_uio_abi.rs. */
#ifdef CONFIG_ARM64
#define REGISTERS	0x04000000
#else
#define REGISTERS	0xfe100000
#endif
#define REGISTER_PAGES	4
#define MEMORY_ORDER	1

static struct device *parent;
static struct uio_info info = {
	.name = "uio_c",
	.version = "1",
	.irq = UIO_IRQ_NONE,
	.mem = {
		{
			.name = "registers",
			.addr = REGISTERS,
			.size = REGISTER_PAGES * PAGE_SIZE,
			.memtype = UIO_MEM_PHYS,
		},
		{
			.name = "memory",
			.size = PAGE_SIZE << MEMORY_ORDER,
			.memtype = UIO_MEM_LOGICAL,
		},
	},
};

static int __init uio_c_init(void)
{
	/* The fault handler takes a reference to each page. */
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP,
					 MEMORY_ORDER);
	int ret;

	if (!pages)
		return -ENOMEM;
	info.mem[1].addr = (phys_addr_t)(unsigned long)page_address(pages);
	parent = root_device_register("uio_c");
	ret = PTR_ERR_OR_ZERO(parent);
	if (ret)
		goto free_pages;
	ret = uio_register_device(parent, &info);
	if (ret)
		goto unregister_parent;
	return 0;

unregister_parent:
	root_device_unregister(parent);
free_pages:
	__free_pages(pages, MEMORY_ORDER);
	return ret;
}

static void __exit uio_c_exit(void)
{
	struct page *pages = virt_to_page((void *)(unsigned long)info.mem[1].addr);

	uio_unregister_device(&info);
	root_device_unregister(parent);
	__free_pages(pages, MEMORY_ORDER);
}

module_init(uio_c_init);
module_exit(uio_c_exit);
MODULE_DESCRIPTION("UIO device for a comparison with rust_uio");
MODULE_LICENSE("GPL");
