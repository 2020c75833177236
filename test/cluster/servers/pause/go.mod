module l2cap/test/cluster/servers/pause

go 1.26.0
