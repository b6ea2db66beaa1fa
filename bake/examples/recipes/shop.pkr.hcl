# An image of the shop: what `scripts/install.sh` makes of a base image, tagged.
#
#   capstan run bake/examples/bake.json --recipes bake/examples/recipes

variable "base" {
  type    = string
  default = "busybox:1.37"
}

variable "pull" {
  type    = bool
  default = true
}

# What the pipeline calls `package`.
variable "package" {
  type = string
}

variable "repository" {
  type    = string
  default = "example.test/shop"
}

variable "tags" {
  type    = list(string)
  default = ["latest"]
}

source "docker" "shop" {
  image       = var.base
  pull        = var.pull
  commit      = true
  run_command = ["-d", "-i", "-t", "--entrypoint=/bin/sh", "{{.Image}}"]
  changes     = ["ENTRYPOINT [\"/bin/shop\"]"]
}

build {
  sources = ["source.docker.shop"]

  provisioner "shell" {
    environment_vars = ["PACKAGE=${var.package}"]
    execute_command  = "{{.Vars}} /bin/sh {{.Path}}"
    script           = "scripts/install.sh"
  }

  post-processor "docker-tag" {
    repository = var.repository
    tags       = var.tags
  }
}
