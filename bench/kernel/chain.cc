/*
 * A chain of IPv4 routers on ns-3 (Debian's libns3-dev), point to point links, global routes, UDP packets of 64 bytes from the first node to the last,
 * no traces. Prints the process's CPU nanoseconds inside Simulator::Run for one device traversal (a frame sent by, or received on, a device).
 *   chain NODES PACKETS
 */
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;

static long arrived = 0;

static void Take(Ptr<Socket> socket) {
  while (socket->Recv()) arrived++;
}

static void SendNext(Ptr<Socket> socket, long left) {
  socket->Send(Create<Packet>(64));
  if (left > 1) Simulator::Schedule(MicroSeconds(10), &SendNext, socket, left - 1);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  uint32_t nodes = std::atoi(words[1]);
  long packets = std::atol(words[2]);
  NodeContainer all;
  all.Create(nodes);
  InternetStackHelper stack;
  stack.SetIpv6StackInstall(false);
  stack.Install(all);
  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
  link.SetChannelAttribute("Delay", StringValue("50us"));
  Ipv4AddressHelper addresses("10.0.0.0", "255.255.255.0");
  Ipv4Address last;
  for (uint32_t i = 0; i + 1 < nodes; i++) {
    last = addresses.Assign(link.Install(all.Get(i), all.Get(i + 1))).GetAddress(1);
    addresses.NewNetwork();
  }
  Ipv4GlobalRoutingHelper::PopulateRoutingTables();
  Ptr<Socket> taker = Socket::CreateSocket(all.Get(nodes - 1), UdpSocketFactory::GetTypeId());
  taker->Bind(InetSocketAddress(Ipv4Address::GetAny(), 9000));
  taker->SetRecvCallback(MakeCallback(&Take));
  Ptr<Socket> sender = Socket::CreateSocket(all.Get(0), UdpSocketFactory::GetTypeId());
  sender->Connect(InetSocketAddress(last, 9000));
  Simulator::Schedule(Seconds(1), &SendNext, sender, packets);
  std::clock_t before = std::clock();
  Simulator::Run();
  double seconds = double(std::clock() - before) / CLOCKS_PER_SEC;
  Simulator::Destroy();
  if (arrived != packets) return 1;
  std::printf("%.2f\n", seconds * 1e9 / (double(packets) * 2 * (nodes - 1)));
  return 0;
}
